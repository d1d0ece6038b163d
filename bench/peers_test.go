//go:build linux

package bench

import (
	"bytes"
	"errors"
	"io"
	"testing"
	"time"

	"github.com/gomanhole/oneshot"
	"github.com/gomanhole/oneshot/internal/testwait"
	"github.com/maruel/panicparse/v2/stack"
)

// TestPanicparseReadsDumpGo shows that other tools can read our dump in the form of
// the runtime's own text.
func TestPanicparseReadsDumpGo(t *testing.T) {
	stop := make(chan struct{})
	defer close(stop)
	const parked = 50
	for range parked {
		go func() { <-stop }()
	}
	var text bytes.Buffer
	deadline := time.Now().Add(testwait.Patience)
	for most := 0; most != parked; { // until all goroutines wait for the channel
		if time.Now().After(deadline) {
			t.Fatalf("after %v the largest group has %d goroutines, not %d:\n%s", testwait.Patience, most, parked, &text)
		}
		text.Reset()
		if err := oneshot.Dump(&text, oneshot.DumpOptions{Form: oneshot.DumpGo}); err != nil {
			t.Fatal(err)
		}
		snapshot, _, err := stack.ScanSnapshot(bytes.NewReader(text.Bytes()), io.Discard, stack.DefaultOpts())
		if err != nil && !errors.Is(err, io.EOF) {
			t.Fatal(err)
		}
		most = 0
		for _, bucket := range snapshot.Aggregate(stack.AnyPointer).Buckets {
			most = max(most, len(bucket.IDs))
		}
	}
}
