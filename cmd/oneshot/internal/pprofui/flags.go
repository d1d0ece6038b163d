//go:build linux

package pprofui

import (
	"flag"
	"io"
)

// flags are the command line of pprof. It is made here, since that of the process is not
// for pprof.
type flags struct {
	*flag.FlagSet
	args []string
}

func newFlags(args ...string) *flags {
	set := flag.NewFlagSet("pprof", flag.ContinueOnError)
	set.SetOutput(io.Discard)
	return &flags{set, args}
}

// StringList defines a flag that may be given several times. None of ours is.
func (f *flags) StringList(name, value, usage string) *[]*string {
	return &[]*string{f.String(name, value, usage)}
}

func (f *flags) ExtraUsage() string   { return "" }
func (f *flags) AddExtraUsage(string) {}

func (f *flags) Parse(usage func()) []string {
	if err := f.FlagSet.Parse(f.args); err != nil {
		usage()
		return nil
	}
	return f.FlagSet.Args()
}
