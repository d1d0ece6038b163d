//go:build !(linux || darwin || freebsd)

package oneshot

func stderrOwner() *core                    { return nil }
func (s *Session) redirectStderr() error    { return ErrUnsupported }
func (s *Session) endStderr()               {}
func (s *Session) restoreStderr() (ok bool) { return false }
