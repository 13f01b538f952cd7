//! Reading XML nodes: namespaces, children by name, attributes of extensions, places in the text.

use roxmltree::{Node, TextPos};

/// The BPMN 2.0 model.
pub(super) const BPMN: &str = "http://www.omg.org/spec/BPMN/20100524/MODEL";

/// Namespaces of the extensions that are read, all alike (FINDINGS 18).
pub(super) const EXTENSIONS: [&str; 3] =
    ["http://camunda.org/schema/1.0/bpmn", "http://operaton.org/schema/1.0/bpmn", "http://activiti.org/bpmn"];

/// The local name of a BPMN element, or nothing for one of another namespace.
pub(super) fn tag<'a>(node: Node<'a, '_>) -> &'a str {
    if node.is_element() && node.tag_name().namespace() == Some(BPMN) { node.tag_name().name() } else { "" }
}

/// BPMN children, in document order.
pub(super) fn elements<'a, 'i>(node: Node<'a, 'i>) -> impl Iterator<Item = Node<'a, 'i>> {
    node.children().filter(|c| !tag(*c).is_empty())
}

/// BPMN children of one name.
pub(super) fn named<'a, 'i: 'a>(node: Node<'a, 'i>, name: &'a str) -> impl Iterator<Item = Node<'a, 'i>> {
    node.children().filter(move |c| tag(*c) == name)
}

pub(super) fn child<'a, 'i>(node: Node<'a, 'i>, name: &str) -> Option<Node<'a, 'i>> {
    node.children().find(|c| tag(*c) == name)
}

/// The local name of an element of an extension namespace, or nothing.
pub(super) fn extension_tag<'a>(node: Node<'a, '_>) -> &'a str {
    let known = node.is_element() && node.tag_name().namespace().is_some_and(|ns| EXTENSIONS.contains(&ns));
    if known { node.tag_name().name() } else { "" }
}

/// Children of one name in an extension namespace.
pub(super) fn extension_children<'a, 'i: 'a>(node: Node<'a, 'i>, name: &'a str) -> impl Iterator<Item = Node<'a, 'i>> {
    node.children().filter(move |c| extension_tag(*c) == name)
}

/// Elements of one name in `extensionElements`.
pub(super) fn extensions<'a, 'i: 'a>(node: Node<'a, 'i>, name: &'a str) -> impl Iterator<Item = Node<'a, 'i>> {
    child(node, "extensionElements").into_iter().flat_map(move |e| extension_children(e, name))
}

/// An attribute of an extension namespace.
pub(super) fn ext<'a>(node: Node<'a, '_>, name: &str) -> Option<&'a str> {
    EXTENSIONS.iter().find_map(|ns| node.attribute((*ns, name)))
}

/// The same, as owned text; an empty one counts as absent.
pub(super) fn ext_text(node: Node<'_, '_>, name: &str) -> Option<String> {
    ext(node, name).filter(|v| !v.is_empty()).map(str::to_owned)
}

/// The element's id; an empty one counts as absent.
pub(super) fn id<'a>(node: Node<'a, '_>) -> Option<&'a str> {
    node.attribute("id").filter(|id| !id.is_empty())
}

/// The id of the element that a problem is about: its own, or that of the closest one around it. The id of an event's definition
/// tells nobody anything: the event counts.
pub(super) fn id_above(node: Node<'_, '_>) -> Option<String> {
    node.ancestors().filter(|n| !tag(*n).ends_with("EventDefinition")).find_map(|n| id(n).map(str::to_owned))
}

/// A boolean as the reference reads it; what it does not know is the default.
pub(super) fn boolean(text: Option<&str>, default: bool) -> bool {
    match text {
        Some("true" | "enabled" | "on" | "active" | "yes" | "1") => true,
        Some("false" | "disabled" | "off" | "inactive" | "no" | "0") => false,
        _ => default,
    }
}

/// All text inside an element, trimmed.
pub(super) fn text(node: Node<'_, '_>) -> String {
    let whole: String = node.children().filter(|c| c.is_text()).filter_map(|c| c.text()).collect();
    whole.trim().to_owned()
}

/// Where the reference places an element: right behind its start tag.
pub(super) fn end_of_start_tag(node: Node<'_, '_>) -> TextPos {
    let range = node.range();
    let source = node.document().input_text();
    let mut quote = None;
    let mut end = range.start;
    for (at, c) in source.get(range.clone()).unwrap_or_default().char_indices() {
        match (quote, c) {
            (Some(open), _) if open == c => quote = None,
            (None, '"' | '\'') => quote = Some(c),
            (None, '>') => {
                end = range.start + at + 1;
                break;
            }
            _ => {}
        }
    }
    node.document().text_pos_at(end)
}

/// Is it a name without a colon, as XML demands of an id?
pub(super) fn is_ncname(text: &str) -> bool {
    let mut chars = text.chars();
    let first = chars.next().is_some_and(|c| c.is_alphabetic() || c == '_');
    first && chars.all(|c| c.is_alphanumeric() || matches!(c, '-' | '_' | '.' | '\u{b7}') || (!c.is_ascii() && !c.is_whitespace()))
}
