(element) @unit

(script_element) @unit

(style_element) @unit
