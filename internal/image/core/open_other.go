//go:build !unix

package core

const nonblock = 0
