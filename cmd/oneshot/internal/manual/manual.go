//go:build unix

// Package manual makes the completion scripts and the man pages from a description of the
// command line. It does not know what the commands do.
package manual

import (
	"flag"
	"strings"
)

// Operand is what the first argument of a command is.
type Operand int

// The operands.
const (
	None Operand = iota
	Process
	File
	Folder
	OneWord // one of Words
)

// Command is a command of the program.
type Command struct {
	Name     string // empty: the command line without a command, which begins with a process
	Usage    string // how it is typed
	Summary  string
	Help     string // in paragraphs; indented lines stay as they are
	Flags    []Flag
	Operand  Operand
	Words    []string // the possible arguments
	Commands []Word   // what can follow the process
}

// Word is a word with a description.
type Word struct{ Name, Summary string }

// Flag is a flag of a command.
type Flag struct {
	Name    string // without the dash
	Value   string // the name of its value; empty: it has none
	Summary string
	Folder  bool // its value is a folder
}

// Flags returns the flags that define defines, sorted.
func Flags(define func(*flag.FlagSet)) (flags []Flag) {
	set := flag.NewFlagSet("", flag.ContinueOnError)
	define(set)
	set.VisitAll(func(f *flag.Flag) {
		value, usage := flag.UnquoteUsage(f)
		flags = append(flags, Flag{Name: f.Name, Value: value, Summary: usage, Folder: value == "DIR"})
	})
	return flags
}

// Program is a program with its commands. The first one is the command line without a
// command.
type Program struct {
	Name, Summary, Overview string
	Commands                []Command
}

// oneLine returns the text without line ends, and without quotes of any kind, for a
// description in a script.
func oneLine(s string) string {
	return strings.NewReplacer("\n", " ", "'", "", `"`, "", "`", "", `\`, "", "[", "(", "]", ")", ":", ",", "$", "").Replace(s)
}
