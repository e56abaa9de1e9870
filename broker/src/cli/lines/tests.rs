use super::*;

fn lines(format: Format, null: Option<&str>) -> Lines {
    let json = format == Format::Json;
    let (keys, headers, null) = (!json, !json, null.map(str::to_owned));
    Lines { format, keys, headers, separator: "|".to_owned(), null }
}

fn record(key: Option<&[u8]>, value: Option<&[u8]>, headers: &[(&str, Option<&[u8]>)]) -> Line {
    let owned = |bytes: Option<&[u8]>| bytes.map(<[u8]>::to_vec);
    let headers = headers.iter().map(|(name, value)| ((*name).to_owned(), owned(*value)));
    Line { key: owned(key), value: owned(value), headers: headers.collect(), ..Line::default() }
}

#[test]
fn what_is_written_is_read() {
    let plain = record(Some(b"k"), Some(b"v v"), &[("a", Some(b"1")), ("a", Some(b""))]);
    let bytes = record(Some(&[0, 255]), Some(b"\n|,="), &[("h", Some(b"|\n")), ("n", None)]);
    let nulls = record(None, None, &[]);
    for (format, null, record) in [
        (Format::Text, None, &plain),
        (Format::Text, Some("NULL"), &nulls),
        (Format::Hex, None, &plain),
        (Format::Hex, None, &bytes),
        (Format::Hex, None, &nulls),
        (Format::Base64, None, &bytes),
        (Format::Base64, None, &nulls),
        (Format::Json, None, &plain),
        (Format::Json, None, &bytes),
        (Format::Json, None, &nulls),
    ] {
        let lines = lines(format, null);
        let mut written = Vec::new();
        lines.write(record, &mut written);
        let text = String::from_utf8_lossy(&written).into_owned();
        let line = text.strip_suffix('\n').expect("a line ends");
        assert!(!line.contains('\n'), "{text}");
        assert_eq!(&lines.parse(line.as_bytes()).expect(&text), record, "{format:?}: {text}");
    }
}

#[test]
fn lines_look_like_this() {
    let record = record(Some(b"k"), Some(b"v"), &[("a", Some(b"1")), ("b", None)]);
    for (format, want) in [
        (Format::Text, "a=1,b=|k|v\n"),
        (Format::Hex, "a=31,b=-|6b|76\n"),
        (Format::Base64, "a=MQ==,b=-|aw==|dg==\n"),
        (
            Format::Json,
            "{\"key\":\"k\",\"value\":\"v\",\"headers\":[{\"name\":\"a\",\"value\":\"1\"},\
             {\"name\":\"b\"}]}\n",
        ),
    ] {
        let mut written = Vec::new();
        lines(format, None).write(&record, &mut written);
        assert_eq!(String::from_utf8_lossy(&written), want);
    }
}

#[test]
fn what_is_no_record_is_refused() {
    for (format, line, why) in [
        (Format::Text, "v", "no separator behind the headers"),
        (Format::Text, "a=1|v", "no separator behind the key"),
        (Format::Text, "a|k|v", "the header \"a\" is no NAME=VALUE"),
        (Format::Hex, "|6b|7", "the value: an odd number"),
        (Format::Base64, "|*|", "the key: the length of Base64"),
        (Format::Json, "[]", "no object of a record"),
        (Format::Json, "{\"valeu\":\"v\"}", "unknown field `valeu`"),
        (Format::Json, "{\"value\":\"v\",\"value_base64\":\"\"}", "value is there twice"),
        (Format::Json, "{\"timestamp\":-1}", "timestamp is negative"),
    ] {
        let error = lines(format, None).parse(line.as_bytes()).expect_err(line);
        let said = format!("{error:#}");
        assert!(said.contains(why), "{line}: {said}");
    }
}
