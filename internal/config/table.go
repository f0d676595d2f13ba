package config

import (
	"fmt"
	"iter"
	"reflect"
	"strings"
)

func fields() iter.Seq[reflect.StructField] {
	return func(yield func(reflect.StructField) bool) {
		t := reflect.TypeFor[Config]()
		for i := range t.NumField() {
			if !yield(t.Field(i)) {
				return
			}
		}
	}
}

// Table is the configuration table of the README, in Markdown.
func Table() string {
	var b strings.Builder
	b.WriteString("| variable | default | meaning |\n| --- | --- | --- |\n")
	for f := range fields() {
		name, def := f.Tag.Get("env"), f.Tag.Get("envDefault")
		if f.Type == reflect.TypeFor[Secret]() {
			name += "`, `" + name + "_FILE"
		}
		if def != "" {
			def = "`" + def + "`"
		}
		fmt.Fprintf(&b, "| `%s` | %s | %s |\n", name, def, f.Tag.Get("doc"))
	}
	return b.String()
}
