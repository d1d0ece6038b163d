//go:build linux

package terminal

import "testing"

func TestCtrlRSearchesTheHistory(t *testing.T) {
	p, s := startFake(t)
	s.says(">>> ")
	p.sees(">>> ")
	p.types("stacks -n 3\rmem\rstacks -full\rgc\r")
	s.gets("stacks -n 3\nmem\nstacks -full\ngc\n")
	s.says("1\n>>> 2\n>>> 3\n>>> 4\n>>> ")
	p.sees("4\n>>> ")
	p.types("pri\x12")
	p.sees("4\n(search) : pri")
	p.types("st")
	p.saw("4\n(search) st: stacks -full")
	s.says("log: one\n")
	p.saw("log: one\n(search) st: stacks -full")
	p.types("\x12")
	p.saw("log: one\n(search) st: stacks -n 3")
	p.types("\x12")
	p.saw("log: one\n(not found) st: stacks -n 3")
	p.types("\x7f\x7fmem")
	p.saw("log: one\n(search) mem: mem")
	p.types("\x07") // back to what was there before
	p.sees("log: one\n>>> pri")

	p.types("\x12-f\x1b[F") // a key of the editor takes the line
	p.sees("log: one\n>>> stacks -full")
	p.types(" x\x12-n\r") // and so does Enter, which sends it
	s.gets("stacks -n 3\n")
	p.sees(">>> stacks -n 3\n")
	p.types("\x12x") // nothing is searched for while a command runs
	s.says("done\n>>> ")
	p.sees("done\n>>> x")
	p.types("\x12mem\x03")
	s.gets("\x03")
	p.sees("^C\n")
	s.says(">>> ")
	p.sees("^C\n>>> ")
	p.types("\x12\xc3\xbc\x12\x1b[F")
	p.sees("\n>>> ")
	p.types("gc\r")
	s.gets("gc\n")
}
