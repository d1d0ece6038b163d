//go:build darwin || freebsd || (linux && oneshot_noproc)

package main

import (
	"flag"
	"io"
	"strconv"
)

const reportHelp = `usage: oneshot report [-o FILE.html] BUNDLE

Makes one HTML page of a bundle, which oneshot bundle has written on Linux, and prints its
name. The page shows what stands out, the vital signs, all groups of goroutines with a
search and filters, flame graphs of the goroutines and of each profile, the descriptors,
other texts, and what each part has cost the program. Open it in any browser, send it,
or print it. On paper are up to 500 groups.

	oneshot report oneshot-server-web1-4321-20260102T150405Z.tar.gz
	oneshot-server-web1-4321-20260102T150405Z.html

	-o FILE     the name of the page, which must be new; default: the name of the
	            bundle with .html

The page is one file of less than 2 MB. It loads nothing from anywhere, and a policy in it
makes the browser refuse that. What the program has chosen, such as the name of a
function, is shown as text only.
`

// reportFlags are the flags of report.
type reportFlags struct{ file string }

func (f *reportFlags) define(flags *flag.FlagSet) {
	flags.StringVar(&f.file, "o", "", "write the page to the new file `FILE`")
}

func runReport(args []string, stdout, _ io.Writer) error {
	var f reportFlags
	rest, err := parseMixed("report", args, f.define)
	switch {
	case err != nil:
		return err
	case len(rest) != 1:
		return usageError{"report: give one bundle; oneshot help report says more"}
	}
	if _, err := strconv.ParseUint(rest[0], 10, 64); err == nil {
		return usageError{"report: a page of a process needs the /proc of Linux; instead: oneshot PATH, or a bundle that was made on Linux"}
	}
	return reportBundle(rest[0], f.file, stdout)
}
