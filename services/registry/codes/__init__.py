"""Code lists 代码表: the words of this interface, the national codes they stand for, and since when."""
