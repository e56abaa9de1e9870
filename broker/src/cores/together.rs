//! The same work on many logs, some at a time: their flushes meet in the file system's commits, and
//! neither a start nor a stop takes as long as all of them in a row.

use std::future::Future;

/// Logs of one core that are opened, made, deleted or closed at once.
const TOGETHER_MAX: usize = 64;

/// Runs `work` on each of `items`; results in their order.
pub async fn together<T, R, F>(items: Vec<T>, mut work: impl FnMut(T) -> F) -> Vec<R>
where
    R: 'static,
    F: Future<Output = R> + 'static,
{
    let mut results = Vec::with_capacity(items.len());
    let mut items = items.into_iter();
    loop {
        let tasks: Vec<_> =
            items.by_ref().take(TOGETHER_MAX).map(|item| reactor::spawn(work(item))).collect();
        if tasks.is_empty() {
            return results;
        }
        for task in tasks {
            results.push(task.await);
        }
    }
}
