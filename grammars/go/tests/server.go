// Package server serves.
package server

import "net/http"

// Limit of requests.
const Limit = 10

const (
	// First state.
	StateOpen State = iota
	StateClosed
)

var (
	cache  = map[string]int{}
	a, b   int
)

// State of a thing.
type State int

type (
	// Handler handles.
	Handler func(w http.ResponseWriter)

	Alias = http.Request
)

// Server is one.
type Server struct {
	http.Handler
	Base
	*Pointer
	name, host string
	port       int `json:"port"`
}

type Reader interface {
	// Read reads.
	Read(p []byte) (n int, err error)
	Closer
}

type List[T any] struct {
	items []T
}

// New makes
// a server.
func New(name string) *Server {
	local := 1
	var other int
	const hidden = 2
	helper := func() {
		var deeper int
		_ = deeper
	}
	helper()
	return &Server{name: name, port: local + other}
}

func (s *Server) Start(ctx context.Context, options ...Option) error { return nil }

func (s Server) Name() string {
	return s.name
}

func (l *List[T]) Push(item T) {
	l.items = append(l.items, item)
}

func Map[A, B any](in []A, f func(A) B) []B {
	return nil
}
