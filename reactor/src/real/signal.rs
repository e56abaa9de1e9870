pub(crate) fn block_stop_signals() {
    todo!()
}

pub(crate) fn wait_for_stop_signal() -> &'static str {
    todo!()
}
