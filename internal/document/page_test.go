package document

import (
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"go/types"
	"os"
	"reflect"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/gomanhole/oneshot/internal/testpage"
)

// TestTheJSONPage requires that docs/json.md has each field of each document, with its
// comment.
func TestTheJSONPage(t *testing.T) {
	var b strings.Builder
	for _, name := range []string{"document.go", "parts.go"} {
		source, err := os.ReadFile(name)
		require.NoError(t, err)
		file, err := parser.ParseFile(token.NewFileSet(), name, source, parser.ParseComments)
		require.NoError(t, err)
		for _, decl := range file.Decls {
			g, ok := decl.(*ast.GenDecl)
			if !ok || g.Tok != token.TYPE {
				continue
			}
			spec := g.Specs[0].(*ast.TypeSpec)
			if s, ok := spec.Type.(*ast.StructType); ok {
				fmt.Fprintf(&b, "### %s\n\n%s\n\n| field | type | |\n|---|---|---|\n", spec.Name.Name, oneLine(g.Doc.Text()))
				for _, f := range s.Fields.List {
					writeField(&b, f)
				}
				b.WriteString("\n")
			}
		}
	}
	testpage.Require(t, "../../docs/json.md", b.String())
}

func oneLine(text string) string { return strings.Join(strings.Fields(text), " ") }

func writeField(b *strings.Builder, f *ast.Field) {
	if len(f.Names) == 0 {
		fmt.Fprintf(b, "| | | and the fields of [%[1]s](#%[2]s) |\n", types.ExprString(f.Type), strings.ToLower(types.ExprString(f.Type)))
		return
	}
	name, options, _ := strings.Cut(reflect.StructTag(strings.Trim(f.Tag.Value, "`")).Get("json"), ",")
	if name == "-" {
		return
	}
	kind := jsonType(types.ExprString(f.Type))
	if options == "omitempty" {
		kind += ", may be absent"
	}
	fmt.Fprintf(b, "| `%s` | %s | %s |\n", name, kind, oneLine(f.Doc.Text()+" "+f.Comment.Text()))
}

// jsonType returns the type that a reader of JSON sees.
func jsonType(of string) string {
	of = strings.TrimPrefix(of, "*")
	switch of {
	case "string":
		return "string"
	case "bool":
		return "boolean"
	case "int", "int32", "int64", "uint64", "float64":
		return "number"
	}
	if rest, ok := strings.CutPrefix(of, "[]"); ok {
		return "array: " + jsonType(rest)
	}
	if rest, ok := strings.CutPrefix(of, "map[string]"); ok {
		return "object, any name: " + jsonType(rest)
	}
	return fmt.Sprintf("[%s](#%s)", of, strings.ToLower(of))
}
