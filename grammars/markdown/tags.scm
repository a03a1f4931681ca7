(section
  (atx_heading
    heading_content: (inline) @name)) @definition.heading

; Underlined headings open no section in this grammar.
(setext_heading
  heading_content: (paragraph) @name) @definition.heading
