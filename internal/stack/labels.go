package stack

import (
	"fmt"
	"strings"
)

// labelSet is a set of pprof labels. Its memory layout is that of
// runtime/pprof/label.go.
type labelSet struct{ list []label }

type label struct{ key, value string }

// String returns the labels as runtime/pprof writes them: {"tenant":"acme"}.
func (s *labelSet) String() string {
	var b strings.Builder
	for i, l := range s.list {
		if i > 0 {
			b.WriteString(", ")
		}
		fmt.Fprintf(&b, "%q:%q", l.key, l.value)
	}
	return "{" + b.String() + "}"
}
