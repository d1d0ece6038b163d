//go:build !oneshot_portable

package stack

const builtPortable = false
