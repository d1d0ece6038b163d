package image

import (
	"strings"

	"github.com/gomanhole/oneshot/internal/image/layout"
)

// inBubble reports whether a goroutine is in a bubble of testing/synctest.
func (p *Program) inBubble(g record) bool {
	return p.Layout.G.Bubble.Known() && g.word(p.Layout.G.Bubble) != 0
}

// bubbleID returns the number of a goroutine's bubble.
func (p *Program) bubbleID(g record) (int64, bool) {
	if !p.inBubble(g) || !p.Layout.Bubble.ID.Known() {
		return 0, false
	}
	id, err := p.word(g.word(p.Layout.G.Bubble) + uint64(p.Layout.Bubble.ID))
	return int64(id), err == nil
}

// durable returns the mark of a goroutine that only its bubble can wake. Some wait
// reasons contain it (goroutineheader in runtime/traceback.go).
func (p *Program) durable(g record, status layout.Offset, state string) string {
	traits := p.Layout.Traits
	switch {
	case !traits.DurableMark || !p.inBubble(g) || !p.Layout.IdleInBubble(g.byte(p.Layout.G.WaitReason)):
	case traits.DurableWaiting && status != p.Layout.Status.Waiting:
	case !strings.HasSuffix(state, "(durable)"):
		return " (durable)"
	}
	return ""
}
