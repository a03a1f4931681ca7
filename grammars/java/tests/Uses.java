package com.example;

import com.example.store.Row;
import com.example.parts.*;
import static com.example.Limits.DEFAULT;

@Service(name = "uses")
class Uses extends Table<Row> implements Walks, Closes<Row> {
    private final Map<String, Row> rows = new HashMap<>();

    @Override
    public List<Row> walk(int depth, Step... steps) throws WalkException {
        Row first = Rows.first(depth, DEFAULT);
        for (Step step : steps) {
            step.run(this::convert, row -> row.name());
        }
        try {
            return List.of(first);
        } catch (IOException error) {
            throw new WalkException(error);
        }
    }
}

interface Further extends Walks {}
