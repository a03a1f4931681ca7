use text::TextRange;
use tree_sitter::Node;

/// What a declarator of the C family declares.
pub(crate) struct Declared {
    /// The name, with what qualifies it.
    pub(crate) range: TextRange,
    /// Whether the name may be qualified.
    pub(crate) qualified: bool,
    /// Whether it declares a function, and not, say, a pointer to one.
    pub(crate) is_function: bool,
}

/// Finds the name in a declarator: `*(*name[3])(int)` declares `name`. `None` where none is declared.
pub(crate) fn name(declarator: Node<'_>) -> Option<Declared> {
    let mut node = declarator;
    let mut is_function = false;
    while let Some(inner) = inside(node) {
        if node.kind() == "operator_cast" {
            // `operator bool() const`: the name ends where the parameters begin.
            let range = TextRange::new(node.start_byte(), inner.start_byte());
            return Some(Declared { range, qualified: false, is_function: true });
        }
        is_function = node.kind() == "function_declarator";
        node = inner;
    }
    let kind = node.kind();
    let is_name = kind.ends_with("identifier")
        || matches!(kind, "operator_name" | "destructor_name" | "template_function");
    let qualified = kind == "qualified_identifier";
    (is_name && !node.has_error()).then(|| Declared {
        range: TextRange::new(node.start_byte(), end_of_name(node)),
        qualified,
        is_function,
    })
}

/// Where a name ends: a template that is specialised, `sum<int>`, is called `sum`.
fn end_of_name(mut node: Node<'_>) -> usize {
    while matches!(node.kind(), "qualified_identifier" | "template_function")
        && let Some(name) = node.child_by_field_name("name")
    {
        node = name;
    }
    node.end_byte()
}

/// The declarator in a declarator. Those of references and in parentheses have no field for it.
fn inside(declarator: Node<'_>) -> Option<Node<'_>> {
    declarator.child_by_field_name("declarator").or_else(|| {
        let is_declarator = declarator.kind().ends_with("_declarator");
        is_declarator.then(|| declarator.named_child(0)).flatten()
    })
}
