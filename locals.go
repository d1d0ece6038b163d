package oneshot

import (
	"fmt"
	"maps"
)

// Locals returns the program's Locals and what SetLocal has kept, which hides one
// of the program's by the same name.
func (s *Session) Locals() map[string]any {
	all := maps.Clone(s.m.opts.Locals)
	s.mu.Lock()
	defer s.mu.Unlock()
	if all == nil {
		all = make(map[string]any, len(s.kept))
	}
	maps.Copy(all, s.kept)
	return all
}

// Local returns the value of one of Locals. A func() any of the program's is
// called for it, and may panic or take its time.
func (s *Session) Local(name string) (value any, ok bool) {
	s.mu.Lock()
	value, ok = s.kept[name]
	s.mu.Unlock()
	if ok {
		return value, true
	}
	value, ok = s.m.opts.Locals[name]
	if f, isFunc := value.(func() any); isFunc && f != nil {
		value = f()
	}
	return value, ok
}

// maxKept is how many names a session keeps.
const maxKept = 100

// SetLocal keeps a value by a name for the rest of the session, of which there
// may be 100; one more is an error.
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
