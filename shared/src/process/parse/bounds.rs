//! A look over the raw text before the XML library reads it: what would cost it more than time and memory in proportion to the size.
//!
//! Walks tags only, in one pass. It need not judge whether the XML is right: wrong XML is told so by the library.

/// Elements inside elements. Subprocesses nest as deep as this at most.
pub const MAX_XML_DEPTH: usize = 200;
/// Attributes of one element: the library compares each with each.
pub const MAX_ATTRIBUTES: usize = 1_000;
/// Namespace declarations that hold at one place: the library copies and searches them all at every element.
pub const MAX_NAMESPACES: usize = 64;

/// Where in the text, in bytes, a bound is passed, and what it is.
pub(super) fn passed(xml: &str) -> Option<(usize, String)> {
    let bytes = xml.as_bytes();
    // For each open element: how many namespace declarations hold in it.
    let mut open: Vec<usize> = Vec::new();
    let mut at = 0;
    while let Some(start) = find(bytes, at, b"<") {
        let rest = bytes.get(start..).unwrap_or_default();
        let end_of = |mark: &[u8]| find(bytes, start, mark).map_or(bytes.len(), |p| p + mark.len());
        at = if rest.starts_with(b"<!--") {
            end_of(b"-->")
        } else if rest.starts_with(b"<![CDATA[") {
            end_of(b"]]>")
        } else if rest.starts_with(b"<?") {
            end_of(b"?>")
        } else if rest.starts_with(b"</") {
            open.pop();
            end_of(b">")
        } else {
            let tag = Tag::read(bytes, start);
            let namespaces = open.last().copied().unwrap_or(0) + tag.namespaces;
            let depth = open.len() + 1;
            let problem = [
                (depth, MAX_XML_DEPTH, "Elements are nested more than {} deep"),
                (tag.attributes, MAX_ATTRIBUTES, "An element has more than {} attributes"),
                (namespaces, MAX_NAMESPACES, "More than {} namespace declarations hold at one place"),
            ]
            .into_iter()
            .find(|(found, bound, _)| found > bound);
            if let Some((_, bound, text)) = problem {
                return Some((start, text.replace("{}", &bound.to_string())));
            }
            if !tag.closes_itself {
                open.push(namespaces);
            }
            tag.end
        };
    }
    None
}

/// What a start tag costs.
struct Tag {
    end: usize,
    attributes: usize,
    namespaces: usize,
    closes_itself: bool,
}

impl Tag {
    /// Reads from `<` to the `>` that is in no quotes, or to the end.
    fn read(bytes: &[u8], start: usize) -> Self {
        let mut tag = Self { end: bytes.len(), attributes: 0, namespaces: 0, closes_itself: false };
        let mut quote = None;
        let mut before = b'<';
        for (at, byte) in bytes.iter().copied().enumerate().skip(start + 1) {
            match (quote, byte) {
                (Some(open), _) if open == byte => quote = None,
                (Some(_), _) => {}
                (None, b'"' | b'\'') => quote = Some(byte),
                (None, b'=') => tag.attributes += 1,
                (None, b'x') if before.is_ascii_whitespace() && bytes.get(at..).is_some_and(|b| b.starts_with(b"xmlns")) => {
                    tag.namespaces += 1;
                }
                (None, b'>') => {
                    tag.end = at + 1;
                    tag.closes_itself = before == b'/';
                    break;
                }
                (None, _) => {}
            }
            before = byte;
        }
        tag
    }
}

fn find(bytes: &[u8], from: usize, mark: &[u8]) -> Option<usize> {
    bytes.get(from..)?.windows(mark.len()).position(|w| w == mark).map(|p| p + from)
}
