def alternatives(bench): return []
