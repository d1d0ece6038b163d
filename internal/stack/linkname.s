// The compiler accepts functions without a body, such as those that
// go:linkname finds elsewhere, in packages that have assembly.
