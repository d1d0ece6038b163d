//go:build linux || darwin || freebsd

package main

import (
	"bytes"
	"context"
	"errors"
	"flag"
	"io"
	"strings"

	"github.com/gomanhole/oneshot/internal/command"
	"github.com/gomanhole/oneshot/internal/document"
)

// linesHelp is what the help of such a command says about the flag.
const linesHelp = "\n\t-json   prints one JSON object with the lines of the text\n"

// asLines returns the function of a subcommand whose text has no further structure. With
// -json it prints an object with the lines.
func asLines(name string, run func(args []string, stdout, stderr io.Writer) error) func([]string, io.Writer, io.Writer) error {
	return func(args []string, stdout, stderr io.Writer) error {
		args, form := command.CutJSON(args)
		if form == command.AsText {
			return run(args, stdout, stderr)
		}
		var text bytes.Buffer
		err := run(args, &text, stderr)
		if err != nil && text.Len() == 0 {
			return err
		}
		d := document.Lines{Head: document.Of(name)}
		for line := range strings.Lines(text.String()) {
			d.Lines = append(d.Lines, strings.TrimSuffix(line, "\n"))
		}
		return errors.Join(document.Write(context.Background(), stdout, d), err)
	}
}

// jsonToo adds the flag -json to those that a subcommand defines, for completion and the
// man page. asLines has taken it from the arguments.
func jsonToo(define func(*flag.FlagSet)) func(*flag.FlagSet) {
	return func(flags *flag.FlagSet) {
		define(flags)
		flags.Bool("json", false, "print one JSON object with the lines of the text")
	}
}
