//! Answers made comparable, and compared, as the player of the recorded conversations does it.

use serde_json::{Map, Value as Json};

/// JSON text with sorted keys, as Python's `json.dumps(…, sort_keys=True)` writes it.
pub fn canonical(value: &Json) -> String {
    match value {
        Json::Object(fields) => {
            let mut keys: Vec<&String> = fields.keys().collect();
            keys.sort();
            let inner: Vec<String> = keys.iter().map(|k| format!("{}: {}", text(k), canonical(&fields[*k]))).collect();
            format!("{{{}}}", inner.join(", "))
        }
        Json::Array(items) => format!("[{}]", items.iter().map(canonical).collect::<Vec<_>>().join(", ")),
        Json::String(s) => text(s),
        other => other.to_string(),
    }
}

fn text(s: &str) -> String {
    Json::String(s.to_owned()).to_string()
}

/// What differs between the recorded answer and the one given, by path.
pub fn compare(want: &Json, got: &Json, path: &str, ordered: bool, out: &mut Vec<String>) {
    match (want, got) {
        (Json::String(w), Json::Number(g)) if w == "4xx" && g.as_i64().is_some_and(|g| (400..500).contains(&g)) => {}
        (Json::Object(want), Json::Object(got)) => {
            for (key, w) in want {
                match got.get(key) {
                    Some(g) => compare(w, g, &format!("{path}.{key}"), ordered, out),
                    None => out.push(format!("{path}.{key}: absent, should be {}", short(w))),
                }
            }
        }
        (Json::Array(want), Json::Array(got)) => {
            if want.len() != got.len() {
                out.push(format!("{path}: {} entries, should be {}: {} instead of {}", got.len(), want.len(), shorts(got), shorts(want)));
                return;
            }
            let (want, got) = if ordered { (want.clone(), got.clone()) } else { unequal(want, got) };
            for (ix, (w, g)) in want.iter().zip(&got).enumerate() {
                compare(w, g, &format!("{path}[{ix}]"), ordered, out);
            }
        }
        (Json::Number(w), Json::Number(g)) if w.as_f64() == g.as_f64() => {}
        _ if want == got => {}
        _ => out.push(format!("{path}: {}, should be {}", short(got), short(want))),
    }
}

/// Entries of one content are the same whatever their place: equal ones are paired first.
fn unequal(want: &[Json], got: &[Json]) -> (Vec<Json>, Vec<Json>) {
    let (mut left, mut rest) = (got.to_vec(), vec![]);
    for w in want {
        let equal = left.iter().position(|g| {
            let mut out = vec![];
            compare(w, g, "", false, &mut out);
            out.is_empty()
        });
        match equal {
            Some(ix) => drop(left.remove(ix)),
            None => rest.push(w.clone()),
        }
    }
    (rest, left)
}

fn shorts(items: &[Json]) -> String {
    short(&Json::Array(items.to_vec()))
}

fn short(value: &Json) -> String {
    let text = value.to_string();
    if text.chars().count() < 260 { text } else { text.chars().take(257).chain("...".chars()).collect() }
}

/// Saved values become `${name}`, the key `KEY`, other ids `<id>`.
pub fn plain_text(text: &str, saved: &Map<String, Json>, key: &str) -> String {
    let mut values: Vec<(&String, &str)> = saved.iter().filter_map(|(n, v)| v.as_str().map(|v| (n, v))).collect();
    values.sort_by_key(|(_, v)| std::cmp::Reverse(v.len()));
    let mut text = text.to_owned();
    for (name, value) in values.into_iter().filter(|(_, v)| v.len() > 7) {
        text = text.replace(value, &format!("${{{name}}}"));
    }
    without_ids(&text.replace(key, "KEY"))
}

fn without_ids(text: &str) -> String {
    let shape = |s: &str| {
        s.len() == 36
            && s.bytes().enumerate().all(|(ix, b)| match ix {
                8 | 13 | 18 | 23 => b == b'-',
                _ => b.is_ascii_hexdigit() && !b.is_ascii_uppercase(),
            })
    };
    let (mut out, mut at) = (String::new(), 0);
    while at < text.len() {
        if text.get(at..at + 36).is_some_and(shape) {
            out.push_str("<id>");
            at += 36;
        } else if let Some(length) = time_at(&text[at..]) {
            out.push_str("<time>");
            at += length;
        } else {
            let next = text[at..].chars().next().unwrap_or(' ');
            out.push(next);
            at += next.len_utf8();
        }
    }
    // A definition's id that was not saved.
    match out.find("KEY").zip(out.find(":<id>")) {
        Some((start, end)) if start < end && out[start..end].chars().all(|c| c.is_ascii_alphanumeric() || c == ':' || c == '_') => {
            format!("{}<definition>{}", &out[..start], &out[end + 5..])
        }
        _ => out,
    }
}

/// Length of a date with a time at the start of `text`.
fn time_at(text: &str) -> Option<usize> {
    let shape = "dddd-dd-ddTdd:dd:dd";
    let fits = |(b, s): (u8, u8)| if s == b'd' { b.is_ascii_digit() } else { b == s };
    if text.len() < shape.len() || !text.bytes().zip(shape.bytes()).all(fits) {
        return None;
    }
    let rest = &text[shape.len()..];
    let end = rest.find(|c: char| !(c.is_ascii_digit() || matches!(c, '.' | '+' | '-' | ':' | 'Z'))).unwrap_or(rest.len());
    Some(shape.len() + end)
}

pub fn plain(value: &Json, saved: &Map<String, Json>, key: &str) -> Json {
    match value {
        Json::String(s) => Json::String(plain_text(s, saved, key)),
        Json::Array(items) => items.iter().map(|i| plain(i, saved, key)).collect(),
        Json::Object(fields) => fields.iter().map(|(k, v)| (plain_text(k, saved, key), plain(v, saved, key))).collect(),
        other => other.clone(),
    }
}
