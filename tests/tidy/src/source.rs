//! Enough of Rust's lexical grammar to tell code from comments and strings.

/// Replaces comments, and what stands between the quotes of strings, by spaces. Line breaks stay, so
/// that line numbers hold. Raw strings, nested block comments and lifetimes are understood.
pub fn blank_comments_and_strings(text: &str) -> String {
    let bytes = text.as_bytes();
    let mut out = Vec::with_capacity(bytes.len());
    let mut at = 0;
    while at < bytes.len() {
        let rest = &bytes[at..];
        let (blanked, kept_edge) = if rest.starts_with(b"//") {
            (line_comment(rest), 0)
        } else if rest.starts_with(b"/*") {
            (block_comment(rest), 0)
        } else if let Some(length) = raw_string(rest, out.last().copied()) {
            (length, 0)
        } else if rest[0] == b'"' {
            (string(rest), 1)
        } else if let Some(length) = character(rest) {
            (length, 1)
        } else {
            out.push(rest[0]);
            at += 1;
            continue;
        };
        for (index, &byte) in rest[..blanked].iter().enumerate() {
            let edge = index < kept_edge || index + kept_edge >= blanked;
            out.push(if byte == b'\n' || edge { byte } else { b' ' });
        }
        at += blanked;
    }
    String::from_utf8_lossy(&out).into_owned()
}

/// Cuts the text where the unit tests at the end of a file begin.
pub fn without_unit_tests(code: &str) -> String {
    let mut kept = String::with_capacity(code.len());
    let mut lines = code.lines().peekable();
    while let Some(line) = lines.next() {
        let gate = line.trim_start().starts_with("#[cfg(") && line.contains("test");
        if gate && lines.peek().is_some_and(|next| is_inline_module(next)) {
            break;
        }
        kept.push_str(line);
        kept.push('\n');
    }
    kept
}

fn is_inline_module(line: &str) -> bool {
    let line = line.trim();
    line.starts_with("mod ") && line.ends_with('{')
}

fn line_comment(rest: &[u8]) -> usize {
    rest.iter().position(|&byte| byte == b'\n').unwrap_or(rest.len())
}

fn block_comment(rest: &[u8]) -> usize {
    let mut depth = 0;
    let mut at = 0;
    while at < rest.len() {
        match &rest[at..] {
            [b'/', b'*', ..] => (depth, at) = (depth + 1, at + 2),
            [b'*', b'/', ..] => (depth, at) = (depth - 1, at + 2),
            _ => at += 1,
        }
        if depth == 0 {
            return at;
        }
    }
    rest.len()
}

/// The length of a raw string that starts here; `before` tells an `r` that ends a word from a prefix.
fn raw_string(rest: &[u8], before: Option<u8>) -> Option<usize> {
    if before.is_some_and(|byte| byte.is_ascii_alphanumeric() || byte == b'_') {
        return None;
    }
    let prefix = [b"br".as_slice(), b"cr", b"r"].into_iter().find(|p| rest.starts_with(p))?.len();
    let hashes = rest[prefix..].iter().take_while(|&&byte| byte == b'#').count();
    if rest.get(prefix + hashes) != Some(&b'"') {
        return None;
    }
    let body = prefix + hashes + 1;
    let mut closing = vec![b'"'];
    closing.resize(hashes + 1, b'#');
    let end = rest[body..].windows(closing.len()).position(|window| window == closing);
    Some(end.map_or(rest.len(), |end| body + end + closing.len()))
}

fn string(rest: &[u8]) -> usize {
    let mut at = 1;
    while at < rest.len() {
        match rest[at] {
            b'\\' => at += 2,
            b'"' => return at + 1,
            _ => at += 1,
        }
    }
    rest.len()
}

/// The length of a character literal that starts here; `None` for a lifetime.
fn character(rest: &[u8]) -> Option<usize> {
    if rest[0] != b'\'' {
        return None;
    }
    if rest.get(1) == Some(&b'\\') {
        let end = rest.iter().skip(3).position(|&byte| byte == b'\'')?;
        return Some(end + 4);
    }
    let end = rest.iter().skip(2).take(4).position(|&byte| byte == b'\'')? + 2;
    // `'a: 'b` and `<'a, 'b>` hold a quote within reach too; a literal is one character long.
    let inside = std::str::from_utf8(&rest[1..end]).ok()?;
    (inside.chars().count() == 1).then_some(end + 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn blanks_what_is_no_code() {
        for (text, want) in [
            ("a // b\nc", "a     \nc"),
            ("a /* b /* c */ d */ e", "a                   e"),
            (r#"f("x // y", 1)"#, r#"f("      ", 1)"#),
            (r#"f("\"x", 1)"#, r#"f("   ", 1)"#),
            ("r#\"un\"safe\"# b", "             b"),
            ("for r in \"x\"", "for r in \" \""),
            ("'\"' b", "' ' b"),
            ("'\\'' b", "'  ' b"),
            ("fn f<'a, 'b>(x: &'a str)", "fn f<'a, 'b>(x: &'a str)"),
        ] {
            assert_eq!(blank_comments_and_strings(text), want, "{text}");
        }
    }

    #[test]
    fn cuts_unit_tests() {
        let code = "fn a() {}\n#[cfg(test)]\nmod tests {\n    std::fs::read();\n}\n";
        assert_eq!(without_unit_tests(code), "fn a() {}\n");
        let declared = "#[cfg(test)]\nmod tests;\nfn a() {}\n";
        assert_eq!(without_unit_tests(declared), declared);
    }
}
