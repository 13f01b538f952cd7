//! Text to tokens: what stands between `${` and `}`.

#[derive(Debug, Clone, PartialEq)]
pub(super) enum Token {
    Name(String),
    Text(String),
    Long(i64),
    Double(f64),
    /// Operators and punctuation; words such as `and` as their signs.
    Sign(&'static str),
}

const SIGNS: [&str; 23] =
    ["==", "!=", "<=", ">=", "&&", "||", "<", ">", "!", "+", "-", "*", "/", "%", "?", ":", "(", ")", "[", "]", ".", ",", "}"];

const WORDS: [(&str, &str); 11] = [
    ("eq", "=="),
    ("ne", "!="),
    ("lt", "<"),
    ("gt", ">"),
    ("le", "<="),
    ("ge", ">="),
    ("and", "&&"),
    ("or", "||"),
    ("not", "!"),
    ("div", "/"),
    ("mod", "%"),
];

/// The tokens up to the closing brace, and the text behind it.
pub(super) fn tokens(text: &str) -> Result<(Vec<Token>, &str), String> {
    let mut tokens = Vec::new();
    let mut rest = text.trim_start();
    loop {
        let Some(first) = rest.chars().next() else { return Err("the closing '}' is missing".to_owned()) };
        if first == '\'' || first == '"' {
            let (literal, after) = quoted(rest, first)?;
            tokens.push(Token::Text(literal));
            rest = after;
        } else if first.is_ascii_digit() {
            let (number, after) = number(rest)?;
            tokens.push(number);
            rest = after;
        } else if first.is_alphabetic() || first == '_' || first == '$' {
            let end = rest.find(|c: char| !(c.is_alphanumeric() || c == '_' || c == '$')).unwrap_or(rest.len());
            let (word, after) = rest.split_at(end);
            let sign = WORDS.iter().find(|(w, _)| *w == word).map(|(_, s)| Token::Sign(s));
            tokens.push(sign.unwrap_or_else(|| Token::Name(word.to_owned())));
            rest = after;
        } else {
            let Some(sign) = SIGNS.iter().find(|s| rest.starts_with(**s)) else { return Err(format!("unexpected '{first}'")) };
            rest = rest.strip_prefix(sign).unwrap_or(rest);
            if *sign == "}" {
                return Ok((tokens, rest));
            }
            tokens.push(Token::Sign(sign));
        }
        rest = rest.trim_start();
    }
}

fn quoted(text: &str, quote: char) -> Result<(String, &str), String> {
    let mut literal = String::new();
    let mut escaped = false;
    for (at, c) in text.char_indices().skip(1) {
        match c {
            _ if escaped => {
                literal.push(c);
                escaped = false;
            }
            '\\' => escaped = true,
            _ if c == quote => return Ok((literal, text.get(at + c.len_utf8()..).unwrap_or_default())),
            _ => literal.push(c),
        }
    }
    Err("a text literal is not closed".to_owned())
}

fn number(text: &str) -> Result<(Token, &str), String> {
    let mut end = 0;
    let mut is_double = false;
    let bytes = text.as_bytes();
    while let Some(b) = bytes.get(end) {
        let digit_follows = bytes.get(end + 1).is_some_and(u8::is_ascii_digit);
        let signed_digit = matches!(bytes.get(end + 1), Some(b'+' | b'-')) && bytes.get(end + 2).is_some_and(u8::is_ascii_digit);
        match b {
            b'0'..=b'9' => end += 1,
            b'.' if digit_follows => {
                is_double = true;
                end += 1;
            }
            b'e' | b'E' if digit_follows || signed_digit => {
                is_double = true;
                end += 2;
            }
            _ => break,
        }
    }
    let (digits, rest) = text.split_at(end);
    let wrong = || format!("'{digits}' is no number");
    let token =
        if is_double { Token::Double(digits.parse().map_err(|_| wrong())?) } else { Token::Long(digits.parse().map_err(|_| wrong())?) };
    Ok((token, rest))
}
