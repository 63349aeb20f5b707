"""From findings to stops: breakers take what was found, the brake holds back, commands follow. Pure."""
