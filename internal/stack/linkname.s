// This file is empty on purpose. The compiler accepts a function without a body
// only in a package that has an assembly file, and go:linkname needs one.
