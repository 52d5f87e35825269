#![allow(clippy::unwrap_used, clippy::panic)]

use proptest::prelude::*;

use super::{SseDecoder, SseError};

const LIMIT: usize = 64;

type Events = Vec<(String, String)>;

/// Feeds the chunks one by one; the events before an error are kept.
fn decode<'a>(chunks: impl IntoIterator<Item = &'a [u8]>) -> (Events, Option<SseError>) {
    let mut decoder = SseDecoder::new(LIMIT);
    let mut events = Events::new();
    for chunk in chunks {
        let fed = decoder.feed(chunk, |event| {
            events.push((event.name.to_owned(), event.data.to_owned()));
            Ok::<_, SseError>(())
        });
        if let Err(error) = fed {
            return (events, Some(error));
        }
    }
    (events, None)
}

fn data(stream: &str) -> Vec<String> {
    let (events, error) = decode([stream.as_bytes()]);
    assert_eq!(error, None);
    events.into_iter().map(|(_, data)| data).collect()
}

/// The standard's rules in their simplest form, for streams without errors.
fn reference(stream: &str) -> Events {
    let stream = stream.strip_prefix('\u{feff}').unwrap_or(stream);
    let stream = stream.replace("\r\n", "\n").replace('\r', "\n");
    let mut lines: Vec<_> = stream.split('\n').collect();
    lines.pop();
    let (mut events, mut name, mut lines_of_data) = (Events::new(), "", Vec::new());
    for line in lines {
        let (field, value) = line.split_once(':').unwrap_or((line, ""));
        let value = value.strip_prefix(' ').unwrap_or(value);
        match field {
            "" if line.is_empty() => {
                if !lines_of_data.is_empty() {
                    let name = if name.is_empty() { "message" } else { name };
                    events.push((name.to_owned(), lines_of_data.join("\n")));
                }
                (name, lines_of_data) = ("", Vec::new());
            }
            "data" => lines_of_data.push(value),
            "event" => name = value,
            _ => {}
        }
    }
    events
}

#[test]
fn every_line_end_ends_a_line() {
    assert_eq!(
        data("data: a\n\ndata: b\r\rdata: c\r\n\r\n"),
        ["a", "b", "c"]
    );
    assert_eq!(data("data: a\r\n\ndata: b\n\r\n"), ["a", "b"]);
}

#[test]
fn fields_are_read_as_the_standard_says() {
    assert_eq!(data("data:a\n\ndata:  b\n\n"), ["a", " b"]);
    assert_eq!(data("data: a\ndata\ndata: c\n\n"), ["a\n\nc"]);
    assert_eq!(data("data\n\n"), [""]);
    assert_eq!(data(": data: a\n\ndatabase: b\n\n Data: c\n\n"), [""; 0]);
    assert_eq!(data("id: 1\ndata: a: b\nretry: 5\n\n"), ["a: b"]);
    assert_eq!(data("\u{feff}data: a\n\n\u{feff}data: b\n\n"), ["a"]);
}

#[test]
fn a_name_belongs_to_one_event() {
    let (events, _) =
        decode([b"event: error\ndata: a\n\ndata: b\n\nevent: x\n\ndata: c\n\n".as_slice()]);
    let names: Vec<_> = events.iter().map(|(name, _)| name.as_str()).collect();
    assert_eq!(names, ["error", "message", "message"]);
}

#[test]
fn unfinished_event_is_discarded() {
    assert_eq!(data("data: a\n\ndata: b\n"), ["a"]);
    assert_eq!(data("data: a\n\ndata: b"), ["a"]);
}

#[test]
fn broken_utf8_is_marked() {
    let (events, error) = decode([b"data: a\n\n: \xff\n\ndata: \xff\n\ndata: b\n\n".as_slice()]);
    let data: Vec<_> = events.iter().map(|(_, data)| data.as_str()).collect();
    assert_eq!((data, error), (vec!["a", "\\u0000\u{E8FF}", "b"], None));
}

#[test]
fn comments_and_events_are_signs_of_life_and_bytes_are_none() {
    let mut decoder = SseDecoder::new(LIMIT);
    for (chunk, signs) in [
        (": still here", 0),
        ("\n", 1),
        (":\n\n\n", 2),
        ("id: 1\nretry: 5\n\n", 2),
        ("data: half", 2),
        ("\n\n", 3),
    ] {
        let fed = decoder.feed(chunk.as_bytes(), |_| Ok::<_, SseError>(()));
        assert_eq!((fed, decoder.signs()), (Ok(()), signs), "{chunk:?}");
    }
}

#[test]
fn an_endless_line_takes_no_memory() {
    let mut decoder = SseDecoder::new(LIMIT);
    let chunk = vec![b'x'; 1 << 20];
    for head in [b"data: ".as_slice(), b""] {
        let ignore = |_: super::SseEvent<'_>| Ok::<_, SseError>(());
        assert!(decoder.feed(head, ignore).is_ok());
        let error = decoder.feed(&chunk, ignore).unwrap_err();
        assert_eq!(error, SseError::TooLarge { limit: LIMIT });
        assert!(decoder.line.capacity() <= 2 * LIMIT);
    }
}

#[test]
fn an_endless_event_takes_no_memory() {
    let mut decoder = SseDecoder::new(LIMIT);
    let fed = (0..=LIMIT + 1).map(|_| decoder.feed(b"data:\n", |_| Ok(())));
    assert_eq!(
        fed.filter(|fed: &Result<(), SseError>| fed.is_err())
            .count(),
        1
    );
    assert!(decoder.data.capacity() <= 2 * LIMIT);
}

#[test]
fn the_limit_is_exact() {
    for (len, fits) in [(LIMIT, true), (LIMIT + 1, false)] {
        let line = format!("data:{}\n\n", "x".repeat(len - 5));
        assert_eq!(decode([line.as_bytes()]).1.is_none(), fits, "line of {len}");
        let event = format!("data:{}\ndata:{}\n\n", "x".repeat(40), "x".repeat(len - 41));
        assert_eq!(
            decode([event.as_bytes()]).1.is_none(),
            fits,
            "event of {len}"
        );
    }
}

/// Streams of the characters that the decoder distinguishes, so that odd cases are frequent.
fn stream() -> impl Strategy<Value = String> {
    let piece = prop_oneof![
        Just("data:"),
        Just("data: "),
        Just("data"),
        Just("event: "),
        Just("id: 7"),
        Just(":"),
        Just("\n"),
        Just("\r"),
        Just("\r\n"),
        Just("\n\n"),
        Just("\r\n\r\n"),
        Just("data: x\n\n"),
        Just("\u{feff}"),
        Just("é"),
        Just("🦀"),
        Just("{\"a\": 1}"),
        Just(" "),
        Just("x"),
    ];
    proptest::collection::vec(piece, 0..24).prop_map(|pieces| pieces.concat())
}

proptest! {
    #[test]
    fn agrees_with_the_standard(stream in stream()) {
        let (events, error) = decode([stream.as_bytes()]);
        if error.is_none() {
            prop_assert_eq!(events, reference(&stream));
        } else {
            prop_assert!(stream.len() > LIMIT);
        }
    }

    #[test]
    fn every_cut_in_two_gives_the_same(stream in stream()) {
        let bytes = stream.as_bytes();
        let whole = decode([bytes]);
        for at in 0..=bytes.len() {
            let (head, tail) = bytes.split_at(at);
            prop_assert_eq!(&decode([head, tail]), &whole, "cut at {}", at);
        }
        prop_assert_eq!(&decode(bytes.chunks(1)), &whole);
    }

    #[test]
    fn any_bytes_in_any_chunks_give_the_same(
        stream in proptest::collection::vec(
            prop_oneof![any::<u8>(), Just(b'\n'), Just(b'\r'), Just(b':')], 0..200),
        mut cuts in proptest::collection::vec(0_usize..200, 0..8),
    ) {
        cuts.retain(|cut| *cut <= stream.len());
        cuts.extend([0, stream.len()]);
        cuts.sort_unstable();
        let chunks = cuts.windows(2).map(|ends| &stream[ends[0]..ends[1]]);
        prop_assert_eq!(decode(chunks), decode([stream.as_slice()]));
    }
}
