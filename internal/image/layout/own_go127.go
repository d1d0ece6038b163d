//go:build go1.27 && !go1.28

package layout

// own returns the table for programs built with Go 1.27. The linker leaves out the
// tables that nothing refers to.
func own() *Layout { return &go127 }
