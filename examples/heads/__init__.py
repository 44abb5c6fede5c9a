"""The digits detector with the heads of five families: trained, exported by torch with their tails, and measured."""
