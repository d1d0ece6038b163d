//go:build linux || darwin || freebsd

package main

import (
	"errors"
	"fmt"
	"io"
	"runtime/debug"
	"slices"
	"strings"
)

const (
	versionHelp = "usage: oneshot version [-json]\n\nPrints the version of the client, its revision, and the version of Go; so do\noneshot -version and oneshot --version.\n" + linesHelp
	helpHelp    = "usage: oneshot help [COMMAND]\n\nDescribes a command, or lists all commands.\n"
)

func runHelp(args []string, stdout, _ io.Writer) error {
	rest, err := parseFlags("help", args, noFlags)
	switch {
	case err != nil:
		return err
	case len(rest) == 0:
		return printHelp(stdout, "")
	case len(rest) > 1:
		return usageError{"help takes one command: oneshot help COMMAND"}
	case missing[rest[0]] != "":
		return errors.New(missing[rest[0]])
	case !slices.Contains(helpNames(), rest[0]):
		return usageError{fmt.Sprintf("help %.40q: no such command; the commands are %s", rest[0], strings.Join(helpNames(), ", "))}
	}
	return printHelp(stdout, rest[0])
}

// printHelp prints the overview if name is empty.
func printHelp(stdout io.Writer, name string) error {
	text := connectHelp
	if name == "" {
		text = overview()
	} else if c := lookupSubcommand(name); c != nil {
		text = c.help
	}
	_, err := io.WriteString(stdout, text)
	return err
}

func runVersion(args []string, stdout, _ io.Writer) error {
	rest, err := parseFlags("version", args, noFlags)
	switch {
	case err != nil:
		return err
	case len(rest) > 0:
		return usageError{"version takes no arguments"}
	}
	_, err = fmt.Fprintf(stdout, "oneshot %s\n", clientVersion())
	return err
}

// clientVersion returns the version of the client, the revision if the go command knew it,
// and the version of Go.
func clientVersion() string {
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return "of an unknown version"
	}
	version := info.Main.Version
	for _, s := range info.Settings {
		switch {
		case s.Key == "vcs.revision":
			version += ", revision " + s.Value[:min(len(s.Value), 12)]
		case s.Key == "vcs.modified" && s.Value == "true":
			version += " with changes"
		}
	}
	return version + ", " + info.GoVersion
}
