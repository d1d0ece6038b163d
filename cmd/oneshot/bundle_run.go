//go:build linux && !oneshot_noproc

package main

import (
	"bytes"
	"context"
	"errors"
	"io"
	"strings"

	"github.com/gomanhole/oneshot/cmd/oneshot/internal/bundle"
	"github.com/gomanhole/oneshot/internal/protocol"
)

// errOwnHandler is the error for a program that serves its clients itself.
var errOwnHandler = errors.New("the program serves its clients itself")

// try runs a command that costs nothing, to see whether there are commands.
func (b *bundler) try() error {
	ctx, cancel := context.WithTimeout(context.Background(), b.manhole.options.timeout)
	defer cancel()
	_, err := b.manhole.run(ctx, io.Discard, "help bundle")
	switch {
	case err != nil && strings.Contains(err.Error(), protocol.OwnHandler):
		return errOwnHandler
	case err != nil && ctx.Err() != nil:
		return statusError{statusTimeout, err}
	}
	return nil // it has answered, if only with an error
}

// run runs a command for a part, in the manhole or from outside.
func (b *bundler) run(ctx context.Context, w io.Writer, words ...string) (bundle.Outcome, error) {
	if !b.outside {
		return b.manhole.run(ctx, w, commandLine(words))
	}
	var errs bytes.Buffer
	err := outside(b.process, true, words, w, &limited{w: &errs, left: maxErrorText})
	_, remark, _ := strings.Cut(errs.String(), "\n") // the first line says that it is read from outside
	o := bundle.Outcome{Complete: err == nil, Remark: strings.TrimSpace(remark)}
	if err != nil && b.manhole.ended() {
		err = bundle.ErrProgramEnded
	}
	return o, err
}
