//go:build linux

package bridge

import (
	"bufio"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"
	"sync"

	"github.com/google/pprof/profile"
)

// symbols are the names of addresses in the profiles that were sent as text. A text has
// them for people only: go tool pprof asks for them at the path symbol.
type symbols struct {
	mu    sync.Mutex
	names map[uint64]string // by the address of a call
}

// Bounds, in addresses and bytes.
const (
	maxSymbols = 1 << 16
	maxQuery   = 4 << 20
	maxSymbol  = 1 << 10
)

func newSymbols() *symbols { return &symbols{names: make(map[uint64]string)} }

// keep keeps the names of a profile.
func (s *symbols) keep(p *profile.Profile) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.names)+len(p.Location) > maxSymbols {
		clear(s.names)
	}
	for _, l := range p.Location[:min(len(p.Location), maxSymbols)] {
		if len(l.Line) > 0 && l.Line[0].Function != nil {
			name := oneLine(l.Line[0].Function.Name)
			s.names[l.Address] = name[:min(len(name), maxSymbol)]
		}
	}
}

// serve answers a query: addresses with + between them, as pprof sends them.
func (s *symbols) serve(w http.ResponseWriter, query io.Reader) {
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	out := bufio.NewWriter(w)
	defer out.Flush()
	in := bufio.NewReader(query)
	// The whole query is read before the answer is sent.
	var found strings.Builder
	s.mu.Lock()
	defer s.mu.Unlock()
	for {
		word, err := in.ReadString('+')
		if pc, parseErr := strconv.ParseUint(strings.TrimSuffix(word, "+"), 0, 64); parseErr == nil && found.Len() < maxQuery {
			if name := s.names[pc]; name != "" {
				fmt.Fprintf(&found, "%#x %s\n", pc, name)
			}
		}
		if err != nil {
			break
		}
	}
	fmt.Fprintf(out, "num_symbols: %d\n%s", min(1, len(s.names)), found.String())
}
