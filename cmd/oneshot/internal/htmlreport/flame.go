//go:build unix

package htmlreport

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"github.com/google/pprof/profile"

	"github.com/gomanhole/oneshot/cmd/oneshot/internal/bundle"
	"github.com/gomanhole/oneshot/cmd/oneshot/internal/difference"
)

// flameHead is what the page itself says of a flame graph; the script draws it.
type flameHead struct {
	Name  string
	Error string
	Index int // in the data; -1: there is none
}

// flame is the data of a flame graph.
type flame struct {
	Name   string   `json:"name"`
	Types  []string `json:"types"` // of the values
	Units  []string `json:"units"`
	Pick   int      `json:"pick"` // the type that is shown first
	Pruned int      `json:"pruned"`
	// Nodes are the nodes in preorder, the root first: of each node the function, the
	// number of its children, and a value of each type.
	Nodes []int64 `json:"nodes"`
}

// maxDepth is the depth of the tree. A recursion may be millions of frames deep.
const maxDepth = 256

// tree is a node and what is called from it.
type tree struct {
	name     int // index in forest.names
	values   []int64
	children map[int]*tree
	order    int // the number of the node, from the root
	kept     bool
}

// forest makes the tree of one flame graph.
type forest struct {
	root  *tree
	nodes []*tree
	names []string
	index map[string]int // of names
}

// maxNodes is how many nodes of a tree are kept in memory before it is pruned.
const maxNodes = 1 << 20

func newForest(values int) *forest {
	f := &forest{index: make(map[string]int)}
	f.root = f.node(f.name("all"), values)
	return f
}

func (f *forest) name(s string) int {
	i, ok := f.index[s]
	if !ok {
		i = len(f.names)
		f.index[s] = i
		f.names = append(f.names, s)
	}
	return i
}

func (f *forest) node(name, values int) *tree {
	t := &tree{name: name, values: make([]int64, values), children: make(map[int]*tree), order: len(f.nodes)}
	f.nodes = append(f.nodes, t)
	return t
}

// add adds the values to a node and its ancestors, down the functions, the outermost
// first.
func (f *forest) add(values []int64, functions []int) {
	at := f.root
	for depth := 0; ; depth++ {
		for i, v := range values {
			at.values[i] += v
		}
		if depth == len(functions) || depth == maxDepth {
			return
		}
		next := at.children[functions[depth]]
		if next == nil {
			if len(f.nodes) == maxNodes {
				return
			}
			next = f.node(functions[depth], len(values))
			at.children[functions[depth]] = next
		}
		at = next
	}
}

// flame returns the data, with at most most nodes: the largest ones. A node is not larger
// than its parent, so what is kept is a tree.
func (f *forest) flame(p *pool, most int) (nodes []int64, pruned int) {
	weight := make(map[*tree]float64, len(f.nodes))
	for _, n := range f.nodes {
		for i, v := range n.values {
			if all := f.root.values[i]; all != 0 {
				weight[n] = max(weight[n], max(float64(v), -float64(v))/max(float64(all), -float64(all)))
			}
		}
	}
	byWeight := slices.Clone(f.nodes)
	slices.SortFunc(byWeight, func(a, b *tree) int {
		return cmp.Or(cmp.Compare(weight[b], weight[a]), cmp.Compare(a.order, b.order))
	})
	for i, n := range byWeight {
		n.kept = i < most
	}
	f.root.kept = true
	return f.preorder(p, f.root, nil), len(f.nodes) - min(most, len(f.nodes))
}

func (f *forest) preorder(p *pool, n *tree, out []int64) []int64 {
	var children []*tree
	for _, c := range n.children {
		if c.kept {
			children = append(children, c)
		}
	}
	slices.SortFunc(children, func(a, b *tree) int { return cmp.Compare(a.order, b.order) })
	out = append(append(out, int64(p.string(f.names[n.name])), int64(len(children))), n.values...)
	for _, c := range children {
		out = f.preorder(p, c, out)
	}
	return out
}

// graph is a flame graph before it is pruned.
type graph struct {
	flame
	forest *forest
	err    error
}

// graphs returns a flame graph of the goroutines, and one of each profile.
func graphs(b *bundle.Bundle, s *stacksDocument) (all []graph) {
	whole := s != nil && len(s.Groups) > 0 && s.MoreGroups == 0
	if whole {
		all = append(all, ofGroups(s))
	}
	names := b.Names()
	slices.SortStableFunc(names, func(a, b string) int { return cmp.Compare(profileRank(a), profileRank(b)) })
	for _, file := range names {
		name, ok := strings.CutPrefix(file, "profiles/")
		if !ok || whole && name == "goroutine.pb.gz" || len(all) == maxFlames {
			continue
		}
		var g graph
		data, err := b.Part(file)
		if err == nil {
			g, err = ofProfile(data)
		}
		g.Name, g.err = plain(clip(strings.TrimSuffix(name, ".pb.gz"), maxName)), err
		all = append(all, g)
	}
	return all
}

// profileRank is where a profile comes in the page.
func profileRank(file string) int {
	order := []string{"goroutine", "cpu", "heap", "heap-delta", "allocs-delta", "mutex-delta", "block-delta", "mutex", "block", "allocs"}
	name := strings.TrimSuffix(strings.TrimPrefix(file, "profiles/"), ".pb.gz")
	if i := slices.Index(order, name); i >= 0 {
		return i
	}
	return len(order)
}

// addFlames adds the flame graphs, each with at most most nodes.
func (r *report) addFlames(p *pool, all []graph, most int) {
	for _, g := range all {
		head := flameHead{Name: g.Name, Index: -1}
		switch {
		case g.err != nil:
			head.Error = plain(clip(g.err.Error(), maxString))
		case g.forest == nil:
			head.Error = "it has no samples"
		default:
			g.Nodes, g.Pruned = g.forest.flame(p, most)
			head.Index = len(r.Data.Flames)
			r.Data.Flames = append(r.Data.Flames, g.flame)
		}
		r.Flames = append(r.Flames, head)
	}
}

// ofGroups returns a flame graph of the goroutines. What they wait for is the innermost
// level.
func ofGroups(s *stacksDocument) graph {
	f := newForest(1)
	for i := range s.Groups {
		g := &s.Groups[i]
		var stack []int
		for _, frame := range slices.Backward(g.Frames) {
			stack = append(stack, f.name(frame.Function))
		}
		f.add([]int64{int64(g.Count)}, append(stack[:min(len(stack), maxDepth-1)], f.name("["+g.State+"]")))
	}
	return graph{flame: flame{Name: "goroutines", Types: []string{"goroutines"}, Units: []string{"count"}}, forest: f}
}

// ofProfile returns a flame graph of a profile, without a forest if it has no samples.
func ofProfile(data []byte) (out graph, err error) {
	prof, err := difference.Parse(data)
	if err != nil {
		return out, fmt.Errorf("it cannot be shown: %w", err)
	}
	out.Pick = len(prof.SampleType) - 1
	for i, t := range prof.SampleType {
		out.Types, out.Units = append(out.Types, plain(clip(t.Type, 40))), append(out.Units, plain(clip(t.Unit, 40)))
		if t.Type == prof.DefaultSampleType {
			out.Pick = i
		}
	}
	f := newForest(len(prof.SampleType))
	for _, s := range prof.Sample {
		for i, v := range s.Value { // of a difference, only what has grown has a width
			if v < 0 {
				s.Value[i] = 0
				out.Types[i] = strings.TrimSuffix(out.Types[i], growth) + growth
			}
		}
		f.add(s.Value, f.functions(s))
	}
	if slices.ContainsFunc(f.root.values, func(v int64) bool { return v != 0 }) {
		out.forest = f
	}
	return out, nil
}

// growth is said of a value that has negative samples too.
const growth = " (growth only)"

// functions returns the functions of a sample, the outermost first.
func (f *forest) functions(s *profile.Sample) (functions []int) {
	for _, l := range slices.Backward(s.Location) {
		if len(l.Line) == 0 {
			functions = append(functions, f.name(fmt.Sprintf("%#x", l.Address)))
		}
		for _, line := range slices.Backward(l.Line) {
			name := "?"
			if line.Function != nil {
				name = line.Function.Name
			}
			if name == "" { // the runtime fills the stacks of threadcreate up with those
				continue
			}
			if functions = append(functions, f.name(name)); len(functions) == maxDepth {
				return functions
			}
		}
	}
	return functions
}
