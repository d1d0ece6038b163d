//go:build go1.26 && !go1.27

package layout

// own returns the table for programs built with Go 1.26. The linker leaves out the
// tables that nothing refers to.
func own() *Layout { return &go126 }
