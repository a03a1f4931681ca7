package uses

import (
	"context"
	rows "example.com/project/store/rows"
	_ "embed"
)

type Uses struct {
	rows.Table
	*Base
	limit rows.Limit
}

type Walker interface {
	Stepper
	Walk(ctx context.Context, depth int) ([]rows.Row, error)
}

func (uses *Uses) Walk(ctx context.Context, depth int) ([]rows.Row, error) {
	first, err := rows.First(ctx, defaultLimit)
	if err != nil {
		return nil, fmt.Errorf("first: %w", err)
	}
	for index, row := range first.All() {
		visit(index, row, convert)
	}
	return []rows.Row{{Depth: depth}}, nil
}
