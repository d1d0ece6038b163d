package layout

import "runtime"

// Own returns the table of the release that built the running program. The error
// wraps ErrUnknown.
func Own() (*Layout, error) {
	if l := own(); l != nil && Line(runtime.Version()) == l.Release && knownArch(runtime.GOARCH) {
		return l, nil
	}
	return nil, unknown(runtime.Version(), runtime.GOARCH)
}
