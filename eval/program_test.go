package eval

import (
	"errors"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

type state string

type conn struct {
	Name  string
	Idle  int
	State state
	Hits  atomic.Int64
}

func (c *conn) Close() {}

type cache struct {
	limit int64
	Stats struct{ Hits atomic.Int64 }
	Next  *cache
	Out   any
	In    io.Reader
}

func (c *cache) Len() int                    { return 3 }
func (c *cache) SetLimit(n int64)            { c.limit = n }
func (c *cache) Limit() int64                { return c.limit }
func (c *cache) Small(n uint8) uint8         { return n }
func (c *cache) Ratio(f float32) float32     { return f }
func (c *cache) Wait(d time.Duration) string { return d.String() }
func (c *cache) Load(key string) (int, error) {
	if key == "" {
		return 0, errors.New("no such key")
	}
	return len(key), nil
}
func (c *cache) Lookup(key string) (int, bool)       { return len(key), key != "" }
func (c *cache) Three() (int, string, bool)          { return 1, "b", true }
func (c *cache) Fill(string) (int, string, error)    { return 1, "b", nil }
func (c *cache) Explode()                            { panic("boom") }
func (c *cache) Crash() int                          { var p *cache; return p.limit2().Len() }
func (c *cache) limit2() *cache                      { _ = c.limit; return c }
func (c *cache) Sum(ns ...int) (sum int)             { return sumOf(ns) }
func (c *cache) Names(prefix string, s ...state) int { return len(prefix) + len(s) }
func (c *cache) Err() error                          { return nil }
func (c *cache) Count(conns []*conn) int             { return len(conns) }

func sumOf(ns []int) (sum int) {
	for _, n := range ns {
		sum += n
	}
	return sum
}

type reader struct{ Pos int }

func (reader) Read([]byte) (int, error) { return 0, io.EOF }

type shape struct{ Side int }

// program is a test program with locals, and with the values that were kept.
type program struct {
	locals map[string]any
	mu     sync.Mutex
	asked  []string
	kept   map[string]any
}

// vars returns the values that were kept.
func (p *program) vars() map[string]any {
	p.mu.Lock()
	defer p.mu.Unlock()
	return maps.Clone(p.kept)
}

func newProgram() *program {
	c := &cache{limit: 7, Out: &shape{4}, In: &reader{Pos: 9}, Next: &cache{limit: 8}}
	c.Stats.Hits.Store(11)
	conns := []*conn{{Name: "a", Idle: 10, State: "open"}, {Name: "b", Idle: 70, State: "closed"}, {Name: "c", Idle: 90, State: "open"}}
	conns[1].Hits.Store(5)
	level := new(slog.LevelVar)
	counter := new(atomic.Int64)
	counter.Store(42)
	return &program{kept: map[string]any{}, locals: map[string]any{
		"cache": c, "conns": conns, "level": level, "debug": slog.LevelDebug,
		"d": 90 * time.Second, "counter": counter,
		"m": map[string]int{"x": 1, "y": 2}, "byID": map[int]*conn{7: conns[0]},
		"shapes": []shape{{1}, {2}, {3}}, "any": any(fmt.Stringer(slog.LevelInfo)),
		"double": func(n int) int { return 2 * n }, "join3": func(a, b string, rest ...string) string { return a + b + strings.Join(rest, "") },
		"nothing": nil, "nilcache": (*cache)(nil), "count": 5, "set": func(map[string]any) {},
		"block": func() {},
	}}
}

func (p *program) engine() *engine {
	return &engine{
		lookup: func(name string) (any, bool, error) {
			p.mu.Lock()
			defer p.mu.Unlock()
			if v, ok := p.kept[name]; ok {
				return v, true, nil
			}
			p.asked = append(p.asked, name)
			if name == "broken" {
				return nil, false, errors.New("broken: its function failed")
			}
			v, ok := p.locals[name]
			return v, ok, nil
		},
		names: func() []string { return slices.Sorted(maps.Keys(p.locals)) },
		keep: func(name string, v any) error {
			p.mu.Lock()
			defer p.mu.Unlock()
			if name == "full" {
				return errors.New("100 names are kept already")
			}
			p.kept[name] = v
			return nil
		},
	}
}
