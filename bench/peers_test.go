//go:build linux

package bench

import (
	"bytes"
	"errors"
	"io"
	"testing"

	"github.com/maruel/panicparse/v2/stack"

	"github.com/gomanhole/oneshot"
)

// TestPanicparseReadsDumpGo: the runtime's own text is what other tools read.
func TestPanicparseReadsDumpGo(t *testing.T) {
	stop := make(chan struct{})
	defer close(stop)
	const parked = 50
	for range parked {
		go func() { <-stop }()
	}
	var text bytes.Buffer
	for most := 0; most != parked; { // until all have come to the channel; go test ends it if not
		text.Reset()
		if err := oneshot.Dump(&text, oneshot.DumpOptions{Form: oneshot.DumpGo}); err != nil {
			t.Fatal(err)
		}
		snapshot, _, err := stack.ScanSnapshot(&text, io.Discard, stack.DefaultOpts())
		if err != nil && !errors.Is(err, io.EOF) {
			t.Fatal(err)
		}
		for _, bucket := range snapshot.Aggregate(stack.AnyPointer).Buckets {
			most = max(most, len(bucket.IDs))
		}
	}
}
