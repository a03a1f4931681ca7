(comment) @comment

; Two levels: what is deeper is data.
(document
  (object
    (pair
      key: (string
        (string_content) @name)) @definition.field))

(document
  (object
    (pair
      value: (object
        (pair
          key: (string
            (string_content) @name)) @definition.field))))
