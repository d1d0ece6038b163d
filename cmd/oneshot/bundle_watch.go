//go:build linux && !oneshot_noproc

package main

import (
	"fmt"
	"os"

	"github.com/gomanhole/oneshot/cmd/oneshot/internal/bundle"
)

// parseBundleAction parses the action bundle of watch.
func parseBundleAction(words []string) (o bundleOptions, err error) {
	rest, err := parseFlags("bundle", words[1:], o.define)
	switch {
	case err != nil:
		return o, err
	case len(rest) > 0:
		return o, usageError{fmt.Sprintf("bundle: it takes flags only, not %.40q", rest[0])}
	}
	return o, o.check()
}

func checkBundleAction(words []string) error {
	_, err := parseBundleAction(words)
	return err
}

// bundle writes a bundle of the process to a file. The error says why it ends early.
func (w *watcher) bundle(words []string, out *os.File) error {
	o, err := parseBundleAction(words)
	if err != nil {
		return err
	}
	b := newBundler(w.target, w.options, w.process, o)
	defer b.manhole.close()
	if err := b.enter(); err != nil {
		return err
	}
	ctx, stop := untilSignal()
	defer stop()
	m, err := b.write(ctx, out, b.name())
	if err == nil && m.End != bundle.Complete {
		err = fmt.Errorf("it ends early: %s", m.End)
	}
	return err
}
