"""Methods of `Client` by subject, as classes that it derives from. They are short; the work is done
in the modules beside this package.
"""
