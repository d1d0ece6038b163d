package oneshot

import (
	"fmt"
	"maps"
	"strings"
	"unicode"
)

// checkNames returns an error for a name in an option that cannot be typed.
func checkNames[V any](option string, named map[string]V) error {
	for name := range named {
		if name == "" || strings.ContainsFunc(name, func(r rune) bool { return unicode.IsSpace(r) || !unicode.IsPrint(r) }) {
			return fmt.Errorf("oneshot: %s: %q cannot be typed as one word; use another name", option, name)
		}
	}
	return nil
}

// Locals returns the program's Locals and the values of SetLocal. If both have a
// name, the value of SetLocal is returned.
func (s *Session) Locals() map[string]any {
	all := maps.Clone(s.host.opts.Locals)
	s.mu.Lock()
	defer s.mu.Unlock()
	if all == nil {
		all = make(map[string]any, len(s.kept))
	}
	maps.Copy(all, s.kept)
	return all
}

// Local returns the value with that name. If it is a func() any, Local calls it and
// returns its result; the function may panic or take a long time. The program may
// be writing to any other value at the same moment.
func (s *Session) Local(name string) (value any, ok bool) {
	s.mu.Lock()
	value, ok = s.kept[name]
	s.mu.Unlock()
	if !ok {
		value, ok = s.host.opts.Locals[name]
	}
	if f, isFunc := value.(func() any); isFunc && f != nil {
		value = f()
	}
	return value, ok
}

// maxKept is how many names a session can keep.
const maxKept = 100

// SetLocal keeps a value under a name until the session ends, as if it were one of
// Options.Locals. For a value that nobody writes any more, give a func() any that
// returns it: the console then shows all of it. A session can keep 100 names;
// SetLocal returns an error for one more.
func (s *Session) SetLocal(name string, value any) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if _, ok := s.kept[name]; !ok && len(s.kept) >= maxKept {
		return fmt.Errorf("%d names are kept already; use one of them for another value", maxKept)
	}
	if s.kept == nil {
		s.kept = make(map[string]any)
	}
	s.kept[name] = value
	return nil
}
