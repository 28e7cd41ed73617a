//! A strict reader of RFC 5424 and of octet counting, against which every message is held. It reads the RFC's own examples.

/// The parts of a message.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Message {
    pub priority: u8,
    pub time: String,
    pub host: String,
    pub app: String,
    pub process: String,
    pub kind: String,
    /// Elements with their parameters, values as they were before they were escaped.
    pub data: Vec<(String, Vec<(String, String)>)>,
    pub text: Option<String>,
}

impl Message {
    pub fn param(&self, name: &str) -> Option<&str> {
        let params = self.data.iter().flat_map(|(_, params)| params);
        params.clone().find(|(key, _)| key == name).map(|(_, value)| value.as_str())
    }
}

/// Every message in frames; nothing where one is malformed.
pub(super) fn frames(mut bytes: &[u8]) -> Option<Vec<String>> {
    let mut messages = Vec::new();
    while !bytes.is_empty() {
        let (length, rest) = bytes.split_at(bytes.iter().position(|byte| *byte == b' ')?);
        let digits = std::str::from_utf8(length).ok()?;
        // RFC 6587 section 3.4.1: MSG-LEN begins with a digit that is not zero.
        if !digits.bytes().all(|byte| byte.is_ascii_digit()) || digits.starts_with('0') {
            return None;
        }
        let (message, rest) = rest[1..].split_at_checked(digits.parse().ok()?)?;
        messages.push(String::from_utf8(message.to_vec()).ok()?);
        bytes = rest;
    }
    Some(messages)
}

pub(super) fn message(text: &str) -> Option<Message> {
    let (priority, rest) = text.strip_prefix('<')?.split_once('>')?;
    if priority.len() > 3 || (priority.starts_with('0') && priority != "0") {
        return None;
    }
    let priority: u8 = priority.parse().ok().filter(|priority| *priority <= 191)?;
    let rest = rest.strip_prefix("1 ")?;
    let mut fields = rest.splitn(6, ' ');
    let time = fields.next().filter(|time| is_time(time))?.to_owned();
    let mut word = |max: usize| {
        let is_word = |word: &&str| (1..=max).contains(&word.len()) && word.bytes().all(|byte| byte.is_ascii_graphic());
        fields.next().filter(is_word).map(str::to_owned)
    };
    let (host, app, process, kind) = (word(255)?, word(48)?, word(128)?, word(32)?);
    let rest = fields.next()?;
    let (data, rest) = match rest.strip_prefix('-') {
        Some(rest) => (Vec::new(), rest),
        None => elements(rest)?,
    };
    let text = match rest {
        "" => None,
        rest => Some(rest.strip_prefix(' ')?.to_owned()),
    };
    Some(Message { priority, time, host, app, process, kind, data, text })
}

fn is_time(text: &str) -> bool {
    if text == "-" {
        return true;
    }
    let fraction = text.split_once('.').map(|(_, rest)| rest.bytes().take_while(u8::is_ascii_digit).count());
    let shape = text.as_bytes().get(4) == Some(&b'-') && text.as_bytes().get(10) == Some(&b'T');
    shape && fraction.is_none_or(|digits| (1..=6).contains(&digits)) && text.parse::<jiff::Timestamp>().is_ok()
}

type Elements = Vec<(String, Vec<(String, String)>)>;

fn elements(mut rest: &str) -> Option<(Elements, &str)> {
    let mut found = Elements::new();
    while let Some(inner) = rest.strip_prefix('[') {
        let (name, mut inner) = name(inner)?;
        let mut params = Vec::new();
        while let Some(param) = inner.strip_prefix(' ') {
            let (key, value) = name_of_param(param)?;
            let (value, after) = value_of_param(value)?;
            params.push((key, value));
            inner = after;
        }
        rest = inner.strip_prefix(']')?;
        if found.iter().any(|(other, _)| *other == name) {
            return None;
        }
        found.push((name, params));
    }
    (!found.is_empty()).then_some((found, rest))
}

fn name(text: &str) -> Option<(String, &str)> {
    let end = text.find([' ', ']', '=', '"'])?;
    let (name, rest) = text.split_at(end);
    ((1..=32).contains(&name.len()) && name.bytes().all(|byte| byte.is_ascii_graphic()))
        .then(|| (name.to_owned(), rest))
}

fn name_of_param(text: &str) -> Option<(String, &str)> {
    let (name, rest) = name(text)?;
    Some((name, rest.strip_prefix("=\"")?))
}

/// The value without its escapes, and what follows its quotation mark.
fn value_of_param(text: &str) -> Option<(String, &str)> {
    let mut value = String::new();
    let mut chars = text.char_indices();
    while let Some((at, c)) = chars.next() {
        match c {
            '"' => return Some((value, &text[at + 1..])),
            ']' => return None,
            '\\' => match chars.next()?.1 {
                escaped @ ('"' | '\\' | ']') => value.push(escaped),
                other => value.extend(['\\', other]),
            },
            c => value.push(c),
        }
    }
    None
}

/// RFC 5424 section 6.5.
const EXAMPLES: [&str; 4] = [
    "<34>1 2003-10-11T22:14:15.003Z mymachine.example.com su - ID47 - \u{feff}'su root' failed for lonvick on /dev/pts/8",
    "<165>1 2003-08-24T05:14:15.000003-07:00 192.0.2.1 myproc 8710 - - %% It's time to make the do-nuts.",
    "<165>1 2003-10-11T22:14:15.003Z mymachine.example.com evntslog - ID47 [exampleSDID@32473 iut=\"3\" eventSource=\"Application\" eventID=\"1011\"] \u{feff}An application event log entry...",
    "<165>1 2003-10-11T22:14:15.003Z mymachine.example.com evntslog - ID47 [exampleSDID@32473 iut=\"3\" eventSource=\"Application\" eventID=\"1011\"][examplePriority@32473 class=\"high\"]",
];

#[test]
fn the_examples_of_the_rfc_are_read() {
    let read: Vec<Message> = EXAMPLES.iter().map(|text| message(text).unwrap()).collect();
    assert_eq!(read.iter().map(|message| message.priority).collect::<Vec<_>>(), [34, 165, 165, 165]);
    assert_eq!(read[1].process, "8710");
    assert_eq!((read[2].param("eventID"), read[3].param("class")), (Some("1011"), Some("high")));
    assert_eq!((read[1].text.as_deref(), read[3].text.as_deref()), (Some("%% It's time to make the do-nuts."), None));
}

#[test]
fn what_the_rfc_forbids_is_not_read() {
    for text in [
        "<192>1 - - - - - -",
        "<034>1 - - - - - -",
        "<34>2 - - - - - -",
        "<34>1 2003-08-24T05:14:15.0000003Z - - - - -",
        "<34>1 - a\u{e9} - - - -",
        "<34>1 -  - - - -",
        "<34>1 - - - - - [a b=\"]\"]",
        "<34>1 - - - - - [a b=\"x\" ]",
        "<34>1 - - - - - [a b=\"x\"][a]",
        "<34>1 - - - - - []",
        "<34>1 - - - - - [a]text",
    ] {
        assert_eq!(message(text), None, "{text}");
    }
    for bytes in ["5 abc", "x abc", "03 abc", "-3 abc", "3abc", "0 "] {
        assert_eq!(frames(bytes.as_bytes()), None, "{bytes}");
    }
    assert_eq!(frames(b"3 abc2 de"), Some(vec!["abc".to_owned(), "de".to_owned()]));
}
