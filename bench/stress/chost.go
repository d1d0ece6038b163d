//go:build linux && cgo

package main

import "C"

import "os"

// StressProgram is main in a C program that uses this one as a library
// (testdata/chost.c).
//
//export StressProgram
func StressProgram() { programMain(os.Args[2:]) }
